# One image for the web, the worker, the scheduler and the release step; the command tells which.
FROM python:3.13-slim AS build
# Where a package has no wheel for the machine, as LightFM on aarch64, it is compiled.
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential
RUN python -m venv /venv
COPY requirements.txt .
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
WORKDIR /app
COPY setup.cfg setup.py pyproject.toml README.md ./
COPY recsvc recsvc
RUN /venv/bin/python setup.py --quiet build_ext --inplace

FROM python:3.13-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 recsvc \
    && install --directory --owner recsvc /data
COPY --from=build /venv /venv
WORKDIR /app
COPY gunicorn.conf.py wsgi.py worker.py scheduler.py ./
COPY --from=build /app/recsvc recsvc
COPY jobs jobs
# Compiled here: at run time nobody may write to this folder, and every process would compile it for itself.
RUN /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash .
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 INSTANCE_DIR=/data PORT=8000
USER recsvc
VOLUME /data
EXPOSE 8000
CMD ["gunicorn", "wsgi:app"]
