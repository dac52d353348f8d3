"""The outward doors: routes, API, pages, and the edge in front of them."""
