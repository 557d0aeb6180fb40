"""A stand-in of LangSmith: a server on loopback that the real SDK takes for it, and that fails on demand.

with langsmith_standin() as hub:
    first = hub.commit("propose_subjects", [("system", "…"), ("human", "{profile}")], tags=["production"])
    hub.fail(Fault("/commits", status=429, headers={"Retry-After": "1"}, times=1))
    client = Client(api_url=hub.url, api_key=hub.key)
"""

from tests.langsmith.server import KEY, Fault, Gate
from tests.langsmith.standin import LangSmith, forget_prompts, langsmith_standin

__all__ = ["KEY", "Fault", "Gate", "LangSmith", "forget_prompts", "langsmith_standin"]
