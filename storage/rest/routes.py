"""All endpoints of the REST API."""

from fastapi import APIRouter

from storage.rest import hql, metrics, organization, properties, requests, sessions, users

router = APIRouter()
for each in (requests, sessions, users, properties, metrics, hql, organization):
    router.include_router(each.router)
