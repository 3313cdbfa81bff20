"""Operating a service: health, the calls under way, the OpenAPI document."""
