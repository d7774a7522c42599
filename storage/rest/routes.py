"""All endpoints of the REST API."""

from fastapi import APIRouter

from storage.rest import metrics, organization, properties, requests, sessions, users

router = APIRouter()
for each in (requests, sessions, users, properties, metrics, organization):
    router.include_router(each.router)
