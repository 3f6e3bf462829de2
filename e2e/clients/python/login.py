"""Logs in as libraries do it, once for each argument HOW=ISSUER. What went wrong ends with a form feed."""

import asyncio
import logging
import os
import sys
import traceback
from urllib.parse import parse_qs, urlsplit

import django
import flask
import httpx
import jwt
import requests
from authlib.integrations.flask_client import OAuth
from django.conf import settings
from django.test import Client
from oauthlib.oauth2 import FatalClientError, RequestValidator, WebApplicationServer
from requests_oauthlib import OAuth2Session

WELL_KNOWN = "/.well-known/openid-configuration"
CALLBACK = "http://acme.localhost:3000/oidc/callback/"
CLIENT = {"client_id": "atlas-web", "client_secret": "secret"}


def browse(at):
    """The query that a browser brings back from the provider."""
    return urlsplit(requests.get(at, allow_redirects=False).headers["Location"]).query


def id_token(document):
    """The ID token of a login without a library."""
    code = parse_qs(browse(document["authorization_endpoint"] + "?redirect_uri=" + CALLBACK))["code"][0]
    return requests.post(document["token_endpoint"], data={"client_id": "atlas-web", "code": code}).json()["id_token"]


def authlib(issuer, remembers=True):
    app = flask.Flask("app")
    app.secret_key, app.testing = "secret", True
    provider = OAuth(app).register(
        "provider", server_metadata_url=issuer + WELL_KNOWN, client_kwargs={"scope": "openid"}, **CLIENT)
    app.add_url_rule("/login", "login", lambda: provider.authorize_redirect(CALLBACK))
    app.add_url_rule("/oidc/callback/", "callback", lambda: provider.authorize_access_token())
    browser = app.test_client()
    query = browse(browser.get("/login").headers["Location"])
    (browser if remembers else app.test_client()).get("/oidc/callback/?" + query)


def pyjwt(issuer):
    """An API that gets the provider's token."""
    document = requests.get(issuer + WELL_KNOWN).json()
    token = id_token(document)
    key = jwt.PyJWKClient(document["jwks_uri"]).get_signing_key_from_jwt(token).key
    jwt.decode(token, key, algorithms=["RS256"], audience="atlas-web", issuer=document["issuer"])


def oauthlib(issuer):
    """requests-oauthlib, as it is without OAUTHLIB_INSECURE_TRANSPORT."""
    document = requests.get(issuer + WELL_KNOWN).json()
    session = OAuth2Session("atlas-web", redirect_uri=CALLBACK, scope="openid")
    at, _ = session.authorization_url(document["authorization_endpoint"])
    session.fetch_token(document["token_endpoint"], authorization_response=CALLBACK + "?" + browse(at), client_secret="secret")


def insecure(issuer):
    """The same with it."""
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    try:
        oauthlib(issuer)
    finally:
        del os.environ["OAUTHLIB_INSECURE_TRANSPORT"]


def mozilla(issuer, remembers=True):
    """mozilla-django-oidc, which is told each endpoint."""
    document = requests.get(issuer + WELL_KNOWN).json()
    settings.OIDC_OP_AUTHORIZATION_ENDPOINT = document["authorization_endpoint"]
    settings.OIDC_OP_TOKEN_ENDPOINT = document["token_endpoint"]
    settings.OIDC_OP_JWKS_ENDPOINT = document["jwks_uri"]
    settings.OIDC_OP_USER_ENDPOINT = document["userinfo_endpoint"]
    browser = Client(headers={"Host": "acme.localhost"})
    query = browse(browser.get("/authenticate/").headers["Location"])
    if not remembers:
        browser.get("/authenticate/")
        query = query.replace("state=", "state=x")
    browser.get("/callback/?" + query)


def django_host(_):
    """Django behind a proxy that sends it a host of its own."""
    Client(headers={"Host": "auth.example.com"}).get("/authenticate/")


def provider(_):
    """oauthlib as a provider, as Django OAuth Toolkit is one."""

    class Clients(RequestValidator):
        def validate_client_id(self, client_id, request, *args, **kwargs):
            return client_id == "atlas-web"

        def validate_redirect_uri(self, client_id, redirect_uri, request, *args, **kwargs):
            return redirect_uri == CALLBACK

    server = WebApplicationServer(Clients())
    at = "https://auth.example.com/authorize?response_type=code"
    for query in "&client_id=atlas-web&redirect_uri=https://acme.example.com/", "&client_id=another-app":
        try:
            server.validate_authorization_request(at + query)
        except FatalClientError as e:
            print(e.json)


WAYS = {
    "authlib": authlib,
    "forgetful-authlib": lambda issuer: authlib(issuer, remembers=False),
    "pyjwt": pyjwt,
    "oauthlib": oauthlib,
    "insecure": insecure,
    "mozilla": mozilla,
    "forgetful-mozilla": lambda issuer: mozilla(issuer, remembers=False),
    "django": django_host,
    "requests": lambda issuer: requests.get(issuer),
    "hasty-requests": lambda issuer: requests.get(issuer, timeout=1),
    "httpx": lambda issuer: asyncio.run(httpx.AsyncClient(timeout=None).get(issuer)).raise_for_status(),
    "hasty-httpx": lambda issuer: asyncio.run(httpx.AsyncClient(timeout=1).get(issuer)),
    "provider": provider,
}


def main():
    logging.basicConfig(stream=sys.stdout)
    settings.configure(
        SECRET_KEY="secret", ALLOWED_HOSTS=["acme.localhost"], ROOT_URLCONF="mozilla_django_oidc.urls", LOGGING_CONFIG=None,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies", OIDC_RP_SIGN_ALGO="RS256",
        OIDC_RP_CLIENT_ID=CLIENT["client_id"], OIDC_RP_CLIENT_SECRET=CLIENT["client_secret"], LOGIN_REDIRECT_URL_FAILURE="/",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "mozilla_django_oidc"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"],
        AUTHENTICATION_BACKENDS=["mozilla_django_oidc.auth.OIDCAuthenticationBackend"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    )
    django.setup()
    for arg in sys.argv[1:]:
        how, issuer = arg.split("=", 1)
        try:
            WAYS[how](issuer)
        except Exception:
            traceback.print_exc(file=sys.stdout)
        print("\f")


main()
