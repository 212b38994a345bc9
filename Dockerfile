# taskexport: web server by default; the same image runs migrations and both queue clusters (compose.yaml).
FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements.txt requirements-parquet.txt ./
RUN python -m venv /venv && /venv/bin/pip install --disable-pip-version-check --no-cache-dir --require-hashes -r requirements.txt
# The format parquet asks for a large library: --build-arg PARQUET=1.
ARG PARQUET=0
RUN [ "$PARQUET" != 1 ] || /venv/bin/pip install --disable-pip-version-check --no-cache-dir --require-hashes -r requirements-parquet.txt

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR=/var/lib/taskexport STATIC_ROOT=/app/staticfiles
WORKDIR /app
RUN groupadd --system --gid 10001 taskexport \
 && useradd --system --uid 10001 --gid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin taskexport \
 && install -d -m 0700 -o taskexport -g taskexport /var/lib/taskexport
COPY --from=build /venv /venv
COPY manage.py ./
COPY taskexport taskexport
COPY tasks tasks
COPY exports exports
COPY templates templates
COPY static static
# The key and the host are of this one command; nothing of them stays in the image.
RUN VAR=/tmp/build SECRET_KEY="only for collectstatic, which signs nothing at all, never used" ALLOWED_HOSTS=localhost \
    python manage.py collectstatic --noinput -v 0 \
 && rm -rf /tmp/build && python -m compileall -q taskexport tasks exports
# By number: whoever runs images only as nobody special can tell.
USER 10001:10001
VOLUME /var/lib/taskexport
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
# The exec form: SIGTERM reaches the server, and no shell stands between. Requests in flight have 30 seconds.
CMD ["gunicorn", "taskexport.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "8", \
     "--graceful-timeout", "30", "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
