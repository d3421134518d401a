"""What pyproject.toml cannot say: the extension, which is compiled where there is a compiler and left out elsewhere.

Nor does it say where to build: not in the checkout, since what an older version left there would go into the wheel.
"""

import atexit
import shutil
import tempfile

from setuptools import Extension, setup

BUILD = tempfile.mkdtemp(prefix="imperva-build-")
atexit.register(shutil.rmtree, BUILD, ignore_errors=True)

SOURCES = ["headers", "lines", "module", "pairs", "rows", "texts", "values"]

setup(
    ext_modules=[
        Extension(
            "airflow_provider_imperva.events.scan._kernel",
            sources=[f"kernel/{name}.c" for name in SOURCES],
            depends=["kernel/kernel.h"],
            # The first Python whose limited API has the buffer protocol: one wheel for it and all later ones.
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            extra_compile_args=["-std=c11", "-O3", "-g0"],
            # The pure implementation does the work where this cannot be compiled.
            optional=True,
        )
    ],
    options={
        "bdist_wheel": {"py_limited_api": "cp311"},
        "build": {"build_base": BUILD},
        "build_ext": {"build_temp": BUILD},
    },
)
