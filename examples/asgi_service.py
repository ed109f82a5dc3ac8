"""A FastAPI service: RESILIENT_REGISTRY=... uvicorn examples.asgi_service:app --workers 2 --port 8000"""

from fastapi import FastAPI

from resilient.asgi import Refusals, lifespan

app = FastAPI(lifespan=lifespan("billing"))
app.add_middleware(Refusals)  # an open circuit further in becomes 503 with Retry-After


@app.get("/bills/{id}")
async def bill(id: int) -> dict[str, int]:
    return {"id": id, "cents": 950}
