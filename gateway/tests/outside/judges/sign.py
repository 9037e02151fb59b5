"""Signatures of webhooks by Stripe's own library. Reads JSON from standard input, writes to standard output."""

import json
import sys

import stripe

case = json.load(sys.stdin)
if sys.argv[1] == "verify":
    event = stripe.Webhook.construct_event(case["body"], case["header"], case["secret"])
    for body, secret in [(case["body"] + " ", case["secret"]), (case["body"], "whsec_other")]:
        try:
            stripe.Webhook.construct_event(body, case["header"], secret)
            sys.exit("believed what was changed")
        except stripe.SignatureVerificationError:
            pass
    print(event["type"])
else:
    signed = f"{case['time']}.{case['body']}"
    tag = stripe.WebhookSignature._compute_signature(signed, case["secret"])
    print(f"t={case['time']},v1={tag}")
