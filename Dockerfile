# The worker; the command line and the mail catcher are in it too: `docker compose exec worker sendgate --help`.
FROM python:3.11.14-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A user of its own. /mail is made here so that a volume mounted on it belongs to this user.
RUN useradd --uid 1000 --create-home sendgate && install --directory --owner sendgate /mail

WORKDIR /app
COPY . .
RUN pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt --editable .

USER sendgate
# No shell around it: SIGTERM reaches the worker, which drains.
CMD ["python", "worker.py"]
