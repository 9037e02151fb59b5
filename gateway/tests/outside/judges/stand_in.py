"""localstripe, written by others after Stripe's API, on a port of loopback: stand_in.py PORT.

What Stripe documents and localstripe leaves out is added here, and only that: the amounts of a payment that can be captured and
were, the reason of a cancellation, and payments listed by when they were made, newest first. It keeps nothing on disk.
"""

import sys

from aiohttp import web
from localstripe import resources

Payment = resources.PaymentIntent
REASONS = (None, "abandoned", "duplicate", "fraudulent", "requested_by_customer")


def capturable(payment):
    return payment.amount if payment.status == "requires_capture" else 0


def received(payment):
    charge = payment.latest_charge
    return charge.amount if charge is not None and charge.captured else 0


def cancel(id, cancellation_reason=None, *, plain=Payment._api_cancel):
    assert cancellation_reason in REASONS
    return plain(id)


def list_window(cls, url, created=None, *, plain=Payment._api_list_all.__func__, **others):
    window = {bound: int(second) for bound, second in (created or {}).items()}
    assert window.keys() <= {"gte", "lte"}
    listed = plain(cls, url, **others)
    first, last = window.get("gte", 0), window.get("lte", sys.maxsize)
    listed._list = [payment for payment in listed._list if first <= payment.created <= last]
    listed._list.sort(key=lambda payment: payment.created, reverse=True)
    return listed


Payment.amount_capturable = property(capturable)
Payment.amount_received = property(received)
Payment._api_list_all = classmethod(list_window)
resources.extra_apis[:] = [
    (method, path, cancel if path == "/v1/payment_intents/{id}/cancel" else function)
    for method, path, function in resources.extra_apis
]
resources.store.dump_to_disk = lambda: None

if __name__ == "__main__":
    # Its routes are bound when it is imported, so that comes last.
    from localstripe.server import app

    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
