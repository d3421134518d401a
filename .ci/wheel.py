"""Sees that an installed wheel has the compiled kernel, and that it works: what cibuildwheel runs after each build."""

from array import array
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

# Not imported by its name, since the packages that it is in need others, and it needs none.
(folder,) = find_spec("airflow_provider_imperva").submodule_search_locations
(file,) = Path(folder, "events", "scan").glob("_kernel.*.so")
spec = spec_from_file_location("_kernel", file)
kernel = module_from_spec(spec)
spec.loader.exec_module(kernel)
places = array("q", [0, 0])
count = kernel.find_line_ends(b"one\ntwo\nthree\n", places)
if (count, places.tolist()) != (3, [3, 7]):
    raise SystemExit(f"{file} finds {count} line ends, at {places.tolist()}")
print(f"{file} works")
