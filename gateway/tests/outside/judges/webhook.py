"""Webhooks to the merchant by the official library of Standard Webhooks. Reads JSON from standard input."""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

case = json.load(sys.stdin)
judge = Webhook(case["secret"])
event = judge.verify(case["body"], case["headers"])
for body, headers in [
    (case["body"] + " ", case["headers"]),
    (case["body"], {**case["headers"], "webhook-id": "msg_other"}),
]:
    try:
        judge.verify(body, headers)
        sys.exit("believed what was changed")
    except WebhookVerificationError:
        pass
print(event["type"])
