#!/usr/bin/env python3
"""Writes an e-mail for what becomes of an order: a receiver of Doorline's webhooks in one file, on the standard library.

    export DOORLINE_WEBHOOK_SECRET="whsec_$(openssl rand -base64 32)"
    python3 email_hook.py --listen 127.0.0.1:8025 --state hooks.db --dry-run

Then, in Doorline's config.toml (and with the same variable in its environment):

    [webhooks]
    url = "http://127.0.0.1:8025/"

What every receiver has to do stands in `take`: believe only what is signed and fresh, handle each event once (it may come
several times), and ignore what is older than what is known of the order. An answer of 2xx says "taken"; with any other, or
none, the event comes again. So it is answered only once the message is on its way and that is written down.

Without --dry-run messages go to the mail server at --smtp. Python 3.9 or newer.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import smtplib
import sqlite3
import sys
import threading
import time
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 256 * 1024

# Digits after the point, where they are not two.
DIGITS = {"clp": 0, "jpy": 0, "krw": 0, "vnd": 0, "bhd": 3, "jod": 3, "kwd": 3, "omr": 3, "tnd": 3}

WORDS = {
    "order.paid": ("Your order is paid", "Thank you. We have received {total} for your order {order}:"),
    "order.declined": ("Your payment was declined", "Nothing was charged for your order {order}:"),
    "order.released": ("Your order has ended", "Nothing was charged for your order {order}:"),
    "order.refunded": ("Your money is on its way back", "We have given {total} back for your order {order}:"),
}


class NotBelieved(Exception):
    """The request is not Doorline's, or too old to be taken."""


def verify(secrets, headers, body, now):
    """Checks a request by the Standard Webhooks specification and gives the event's name."""
    name, stamp = headers.get("webhook-id"), headers.get("webhook-timestamp")
    signatures = headers.get("webhook-signature")
    if not (name and stamp and signatures):
        raise NotBelieved("a header is missing")
    if not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp)) > TOLERANCE_SECONDS:
        raise NotBelieved("it was sent too long ago, or in the future")
    signed = b".".join([name.encode(), stamp.encode(), body])
    fits = False
    for secret in secrets:
        ours = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
        for signature in signatures.split(" "):
            version, _, theirs = signature.partition(",")
            # Compared in constant time, and all of them, so that the answer's delay says nothing.
            fits |= version == "v1" and hmac.compare_digest(ours, theirs.encode())
    if not fits:
        raise NotBelieved("no signature fits")
    return name


def money(price):
    """An amount in the smallest unit of its currency, as people write it."""
    digits = DIGITS.get(price["currency"], 2)
    return f"{price['amount'] / 10**digits:.{digits}f} {price['currency'].upper()}"


def message(event, sender):
    """The message to the shopper, or None where there is nobody to write to."""
    data, words = event["data"], WORDS.get(event["type"])
    if words is None or not data.get("email"):
        return None
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, data["email"], words[0]
    # A mail server that gets it twice after all can tell by this.
    mail["Message-ID"] = f"<{data['order']}.{data['version']}@doorline.invalid>"
    lines = [words[1].format(total=money(data["total"]), order=data["order"]), ""]
    lines += [f"  {item['quantity']} x {item['sku']}, {money(item['price'])} each" for item in data["items"]]
    mail.set_content("\n".join(lines) + "\n")
    return mail


class Memory:
    """What was handled before, kept over restarts: events by name, and the newest version of each order."""

    def __init__(self, path):
        self.database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.database.execute("CREATE TABLE IF NOT EXISTS seen (name TEXT PRIMARY KEY)")
        self.database.execute("CREATE TABLE IF NOT EXISTS newest (id TEXT PRIMARY KEY, version INTEGER)")
        # One event at a time: two copies of one event may arrive in the same moment.
        self.lock = threading.Lock()

    def is_news(self, name, order, version):
        if self.database.execute("SELECT 1 FROM seen WHERE name = ?", (name,)).fetchone():
            return False
        newest = self.database.execute("SELECT version FROM newest WHERE id = ?", (order,)).fetchone()
        return newest is None or newest[0] < version

    def remember(self, name, order, version):
        self.database.execute("BEGIN")
        self.database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (name,))
        self.database.execute(
            "INSERT INTO newest VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET version = max(version, excluded.version)",
            (order, version),
        )
        self.database.execute("COMMIT")


def take(options, memory, headers, body):
    """Handles one request. Whatever it raises but NotBelieved makes the event come again."""
    name = verify(options.secrets, headers, body, time.time())
    event = json.loads(body)
    order, version = event["data"]["order"], event["data"]["version"]
    with memory.lock:
        if not memory.is_news(name, order, version):
            return "ignored"
        mail = message(event, options.sender)
        if mail is not None and options.dry_run:
            print(mail, flush=True)
        elif mail is not None:
            host, _, port = options.smtp.rpartition(":")
            with smtplib.SMTP(host, int(port), timeout=10) as server:
                server.send_message(mail)
        memory.remember(name, order, version)
    return "taken"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self):
        try:
            length = int(self.headers.get("content-length", "0"))
            if "transfer-encoding" in self.headers or not 0 <= length <= BODY_BYTES_MAX:
                self.close_connection = True
                return self.answer(413, "too large, or of unknown length")
            done = take(self.server.options, self.server.memory, self.headers, self.rfile.read(length))
            self.answer(200, done)
        except NotBelieved as why:
            self.answer(401, str(why))
        except (ValueError, KeyError, TypeError):
            self.answer(400, "this is not an event")
        except (OSError, smtplib.SMTPException) as why:
            print(f"not now: {why}", file=sys.stderr, flush=True)
            self.answer(503, "not now")

    def answer(self, status, text):
        body = (text + "\n").encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing: a log of requests is a log of shoppers."""


def secrets_of(text):
    """One secret, or several with blanks between them while changing over."""
    keys = [base64.b64decode(one[len("whsec_"):] + "==") for one in text.split() if one.startswith("whsec_")]
    if not keys or not all(24 <= len(key) <= 64 for key in keys):
        sys.exit("DOORLINE_WEBHOOK_SECRET must be whsec_ and 24 to 64 bytes in base64")
    return keys


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--listen", default="127.0.0.1:8025", metavar="HOST:PORT")
    parser.add_argument("--state", default="email_hook.db", metavar="FILE", help="what was handled before")
    parser.add_argument("--smtp", default="127.0.0.1:25", metavar="HOST:PORT")
    parser.add_argument("--sender", default="shop@example.com", metavar="ADDRESS")
    parser.add_argument("--dry-run", action="store_true", help="write messages to standard output")
    options = parser.parse_args()
    options.secrets = secrets_of(os.environ.get("DOORLINE_WEBHOOK_SECRET", ""))
    host, _, port = options.listen.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.options, server.memory = options, Memory(options.state)
    print(f"listening on {host}:{server.server_port}", file=sys.stderr, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
