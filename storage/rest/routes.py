"""All endpoints of the REST API."""

from fastapi import APIRouter

from storage.rest import requests

router = APIRouter()
router.include_router(requests.router)
