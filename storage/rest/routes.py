"""All endpoints of the REST API."""

from fastapi import APIRouter

from storage.rest import metrics, properties, requests, sessions, users

router = APIRouter()
for each in (requests, sessions, users, properties, metrics):
    router.include_router(each.router)
