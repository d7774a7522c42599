# Heliograph, one image for every role: the command says which (`ingress`, `processors`, `sink`, `api`, `topics create`, …).
ARG PYTHON=3.11-slim

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/heliograph
ENV PATH=/opt/heliograph/bin:$PATH
WORKDIR /src
# What we stand on changes seldom and is checked by hash; nothing is compiled here.
COPY requirements.lock ./
RUN pip install --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY eventlog ./eventlog
COPY ingress ./ingress
COPY processors ./processors
COPY runtime ./runtime
COPY storage ./storage
RUN pip install --no-deps --no-build-isolation . && python -m compileall -q /opt/heliograph

FROM python:${PYTHON}
# A new volume takes owner and mode of the folder it is mounted on.
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin heliograph \
    && install -d -o heliograph -g heliograph -m 0700 /data /data/lake
COPY --from=build /opt/heliograph /opt/heliograph
ENV PATH=/opt/heliograph/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HELIOGRAPH_DATA_DIR=/data
USER heliograph
WORKDIR /data
EXPOSE 8787 8585 8686
ENTRYPOINT ["heliograph"]
CMD ["--help"]
