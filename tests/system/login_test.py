#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logging in while there are no users."""
import base64
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))
import roster  # noqa: E402

LOGIN_PATHS = ("/v1/auth/login", "/v1/auth/users/login")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def decoded(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Login(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = roster.Server(workers=1)
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def login(self, path=LOGIN_PATHS[0], query="username=nacos&password=nacos", form=None):
        return self.server.request("POST", path, query, FORM if form is not None else None, form)

    def good(self, reply, user="nacos"):
        self.assertEqual(reply.status, 200, reply.text)
        self.assertEqual(reply.headers["Content-Type"], "application/json")
        answer = reply.json
        self.assertEqual(list(answer), ["accessToken", "tokenTtl", "globalAdmin", "username"])
        self.assertEqual((answer["tokenTtl"], answer["globalAdmin"], answer["username"]), (18000, True, user))
        self.assertIsInstance(answer["tokenTtl"], int)
        self.assertEqual(reply.headers["Authorization"], "Bearer " + answer["accessToken"])
        return answer["accessToken"]

    def test_where_the_credentials_are(self):
        for path in LOGIN_PATHS:
            for query, form in (("username=nacos&password=nacos", None), ("username=nacos&password=nacos", ""),
                                (None, "username=nacos&password=nacos"), ("username=nacos", "password=nacos"),
                                ("password=nacos", "username=nacos"), ("message=true", "username=nacos&password=nacos")):
                self.good(self.login(path, query, form))

    def test_token_looks_like_the_originals(self):
        """Three parts; a console reads the name out of the middle. Nobody can guess the rest."""
        first, second = (self.good(self.login()) for _ in range(2))
        self.assertNotEqual(first, second)
        head, claims, signature = first.split(".")
        self.assertEqual(decoded(head), {"alg": "HS256"})
        self.assertEqual(sorted(decoded(claims)), ["exp", "sub"])
        self.assertEqual(decoded(claims)["sub"], "nacos")
        self.assertEqual(len(base64.urlsafe_b64decode(signature + "=")), 32)

    def test_any_name_and_password(self):
        """There are no users: nobody is refused, whatever the name is made of."""
        self.good(self.login(query="username=nacos&password=wrong"))
        self.good(self.login(query="username=&password="), "")
        for name in ('a"b\\c', "用户", "\x01</script>"):
            token = self.good(self.login(query={"username": name, "password": "x"}), name)
            self.assertEqual(decoded(token.split(".")[1])["sub"], name)
        self.assertEqual(self.good(self.login(query="username=a%FFb&password=x"), "a\ufffdb").count("."), 2)

    def test_refused(self):
        text = "caused: Required request parameter '%s' for method parameter type String is not present;"
        for query, missing in ((None, "username"), ("password=x", "username"), ("username=x", "password")):
            reply = self.login(query=query)
            self.assertEqual((reply.status, reply.text), (500, text % missing))
            self.assertIsNone(reply.headers["Authorization"])
        reply = self.login(query={"username": "u" * 1024, "password": "x"})
        self.assertEqual((reply.status, reply.text), (400, "caused: limits.name reached: 1023;"))
        self.good(self.login(query={"username": "u" * 1023, "password": "x"}), "u" * 1023)
        reply = self.server.request("GET", LOGIN_PATHS[0], "username=nacos&password=nacos")
        self.assertEqual((reply.status, reply.text), (500, "caused: Request method 'GET' not supported;"))

    def test_token_is_welcome_everywhere(self):
        """As clients send it on, and a false one too: nobody looks."""
        token = self.good(self.login())
        for number, (query, headers) in enumerate(((("accessToken=" + token), {}), ("", {"Authorization": "Bearer " + token}),
                                                   ("accessToken=false", {"Authorization": "Bearer false"}))):
            ip = "10.0.0.%d" % number
            reply = self.server.request("POST", "/v1/ns/instance", "serviceName=in&ip=%s&port=80&%s" % (ip, query), headers)
            self.assertEqual((reply.status, reply.text), (200, "ok"))
            self.assertIn(ip, [host["ip"] for host in self.server.hosts("in", accessToken="any")])

    def test_password_stays_out_of_the_log(self):
        self.good(self.login(query="username=nacos&password=s3cret-in-query", form="password=s3cret-in-form"))
        self.assertNotIn("s3cret", self.server.log_text())


if __name__ == "__main__":
    roster.main()
