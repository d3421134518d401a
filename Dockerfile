# The image of docker-compose.yaml: Airflow with this provider, in the versions that requirements/ pins.
#
# From Python's image and not from Airflow's: that one brings some hundred packages in versions of its own, and what
# runs in the containers is to be what the tests ran with. (Python 3.13, since its own pip knows --group.)
FROM python:3.13.9-slim-bookworm AS build
WORKDIR /source
# What the kernel is compiled with, here only.
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml setup.py README.md LICENSE ./
COPY kernel kernel
COPY requirements requirements
COPY airflow_provider_imperva airflow_provider_imperva
ENV PIP_CONSTRAINT="requirements/run.txt requirements/test.txt requirements/cluster.txt"
RUN pip install --no-cache-dir setuptools \
    && pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --group cluster "$(echo /wheel/*.whl)[aws,sftp]" \
    && /venv/bin/pip check

FROM python:3.13.9-slim-bookworm
RUN useradd --uid 50000 --gid 0 --create-home airflow \
    && install --directory --owner airflow --group 0 \
        /opt/airflow /opt/airflow/dags /opt/airflow/logs /opt/airflow/users /imperva
COPY --from=build /venv /venv
COPY deploy/fake_repository.py /opt/imperva/
ENV PATH=/venv/bin:$PATH AIRFLOW_HOME=/opt/airflow PYTHONUNBUFFERED=1
WORKDIR /opt/airflow
USER airflow
CMD ["airflow", "version"]
