"""All endpoints of the REST API."""

from fastapi import APIRouter

from storage.rest import hql, metrics, properties, requests, sessions, users

router = APIRouter()
for each in (requests, sessions, users, properties, metrics, hql):
    router.include_router(each.router)
