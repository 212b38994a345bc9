"""The page of a new export: every choice on one page, and beside it what the choices would give.

Other pages hand their choices over by `staff.hand_over(request, choices)`, whose address they lead to; a short link may carry them as
`?spec=JSON`. `?from_job=ID` begins with a job's choices, `?config=ID` and `?segment=ID` with a saved one. What choices are:
`exports.admin.new.asked.Choices`. The page hands them on in the same way to a new schedule ("Repeat this…").
"""

from exports.admin.new.making import make_again
from exports.admin.new.views import urls, view

__all__ = ["make_again", "urls", "view"]
