"""Drives a provider with Stripe's own library, as a shop would that knows nothing of Doorline. Usage: drive.py URL KEY"""

import sys

import stripe

stripe.api_base, stripe.api_key = sys.argv[1:]
stripe.max_network_retries = 0
CARD = {"payment_method_types": ["card"], "capture_method": "manual", "confirm": True, "currency": "eur"}


def authorise(order, amount, method, **more):
    metadata = {"drop": "aurora", "order": order, "n": "1"}
    return stripe.PaymentIntent.create(
        amount=amount, payment_method=method, metadata=metadata, **CARD, **more
    )


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected")


# Authorised, captured, given back; and the same key answers the same.
held = authorise("o-1", 12900, "pm_card_visa", idempotency_key="k-1")
assert (held.status, held.amount_capturable) == ("requires_capture", 12900), held
assert authorise("o-1", 12900, "pm_card_visa", idempotency_key="k-1").id == held.id
paid = stripe.PaymentIntent.capture(held.id, amount_to_capture=12900, idempotency_key="k-2")
assert (paid.status, paid.amount_received) == ("succeeded", 12900), paid
assert stripe.PaymentIntent.retrieve(held.id).metadata["order"] == "o-1"
back = stripe.Refund.create(payment_intent=held.id, amount=12900, idempotency_key="k-3")
assert (back.status, back.amount, back.payment_intent) == ("succeeded", 12900, held.id), back
assert [one.id for one in stripe.Refund.list(payment_intent=held.id)] == [back.id]

# Given up before it was captured.
given_up = authorise("o-2", 700, "pm_card_visa")
assert stripe.PaymentIntent.cancel(given_up.id, cancellation_reason="abandoned").status == "canceled"
late = refused(stripe.InvalidRequestError, lambda: stripe.PaymentIntent.capture(given_up.id))
assert late.code == "payment_intent_unexpected_state", late

# Kept.
kept = authorise("o-3", 500, "pm_card_visa")
stripe.PaymentIntent.capture(kept.id)

# The bank wants to see the shopper.
asked = authorise("o-4", 900, "pm_card_threeDSecureRequired")
assert asked.status == "requires_action" and asked.client_secret.startswith(asked.id), asked

# Refusals come as the library's own classes.
declined = refused(stripe.CardError, lambda: authorise("o-5", 900, "pm_card_visa_chargeDeclined"))
assert (declined.http_status, declined.code) == (402, "card_declined"), declined
twice = lambda: stripe.PaymentIntent.create(amount=1, currency="eur", idempotency_key="k-1")
assert refused(stripe.IdempotencyError, twice).http_status == 400
absent = refused(stripe.InvalidRequestError, lambda: stripe.PaymentIntent.retrieve("pi_nobody"))
assert (absent.http_status, absent.code) == (404, "resource_missing"), absent

# Lists are walked page by page, newest first.
walked = stripe.PaymentIntent.list(created={"gte": held.created - 60}, limit=2).auto_paging_iter()
ids = [one.id for one in walked]
assert len(ids) == len(set(ids)) and {held.id, given_up.id, kept.id, asked.id} <= set(ids), ids
assert ids.index(asked.id) < ids.index(held.id), ids

stripe.api_key = "sk_test_of_somebody_else"
assert refused(stripe.AuthenticationError, lambda: stripe.PaymentIntent.retrieve(held.id)).http_status == 401
print("driven")
