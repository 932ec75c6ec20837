"""Runs all steps: against the endpoint given, or the one in AWS_ENDPOINT_URL."""

from runner import start

start()
