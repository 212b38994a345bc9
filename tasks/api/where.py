"""In which organization a call of contract 2 is: that of the case it names, for who has several."""

from __future__ import annotations

from rest_framework.request import Request

from taskexport.api.calls import ORGANIZATION_HEADER, organization_of, user_of
from tasks import access
from tasks.access import Action
from tasks.models import AccessToken, Case, Organization


def organization_for(request: Request, case_id: int | None, action: Action = Action.READ) -> Organization:
    """The access token's, the one of `X-Organization`, that of the case, or the only one of the user.

    Raises Invalid `organization_required`, NotFound, Forbidden.
    """
    if case_id is not None and ORGANIZATION_HEADER not in request.headers and not isinstance(request.auth, AccessToken):
        case = access.visible_to(Case.objects.select_related("organization"), user_of(request)).filter(pk=case_id).first()
        if case is not None:
            access.require(request.user, action, case.organization)
            return case.organization
    return organization_of(request, action)
