"""Steps against an AWS: each says what AWS answers, all are run in order, and what came back is printed as JSON lines."""

import json
import sys
import time

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = "eu-central-1"
ZONE = REGION + "a"
DEADLINE_SECONDS = 20

STEPS = []


def step(refusal=None, needs=None, **answer):
    """
    Declares a step. It is given the clients and what earlier steps kept, and returns the fields that matter.

    `refusal` is the error code that AWS answers with; otherwise the step succeeds with the fields of `answer`.
    `needs` names a parameter (service, operation, parameter) that older clients do not know.
    """

    def declare(run):
        expected = {"outcome": refusal or "ok", "fields": {} if refusal else answer}
        STEPS.append((run.__name__, run, expected, needs))
        return run

    return declare


class Clients:
    """Clients of every service for one login; without an endpoint the environment names it."""

    def __init__(self, endpoint, **login):
        self.endpoint = endpoint
        self._session = boto3.session.Session(region_name=REGION, **login)
        self._made = {}

    def __getattr__(self, service):
        if service not in self._made:
            config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
            self._made[service] = self._session.client(service, endpoint_url=self.endpoint, config=config)
        return self._made[service]

    def login(self, key):
        return Clients(
            self.endpoint,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            aws_session_token=key.get("SessionToken"),
        )

    def knows(self, needs):
        service, operation, parameter = needs
        model = getattr(self, service).meta.service_model
        return operation in model.operation_names and parameter in model.operation_model(operation).input_shape.members


def until(wanted, read):
    """Waits until `read` gives what is wanted, or gives up and returns what it gives then."""
    end = time.monotonic() + DEADLINE_SECONDS
    while (value := read()) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    return value


class NotKept(Exception):
    """An earlier step failed, and this one has nothing to work on."""


class Kept(dict):
    def __missing__(self, name):
        raise NotKept(name)


def observed(run, aws, kept):
    try:
        return {"outcome": "ok", "fields": run(aws, kept) or {}}
    except ClientError as error:
        return {"outcome": error.response["Error"]["Code"], "fields": {}}
    except NotKept:
        return {"outcome": "nothing to work on", "fields": {}}
    except Exception as error:  # An answer that the client cannot read is an answer too.
        return {"outcome": type(error).__name__, "fields": {}}


def main(endpoint):
    aws, kept = Clients(endpoint), Kept()
    kept["account"] = aws.sts.get_caller_identity()["Account"]
    print(json.dumps({"boto3": boto3.__version__, "botocore": botocore.__version__}))
    for name, run, expected, needs in STEPS:
        known = needs is None or aws.knows(needs)
        got = observed(run, aws, kept) if known else {"outcome": "not known to this client", "fields": {}}
        print(json.dumps({"step": name, "expected": expected, "got": got}), flush=True)


def start():
    import identity_steps, kms_steps, ec2_disk_steps, ec2_instance_steps, ebs_steps, s3_steps  # noqa: E401, F401

    main(sys.argv[1] if len(sys.argv) > 1 else None)
