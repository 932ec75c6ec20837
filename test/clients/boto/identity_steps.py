"""STS and IAM. Sources: STS API reference, AssumeRole; IAM API reference and its error codes."""

import json

from runner import step


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(kept):
    return policy(
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{kept['account']}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "the-right-one"}},
        }
    )


def assume(aws, kept, **more):
    return kept["worker"].sts.assume_role(RoleArn=kept["role"], RoleSessionName="job", **more)


@step(root=True)
def sts_tells_the_root_who_it_is(aws, kept):
    return {"root": aws.sts.get_caller_identity()["Arn"].endswith(":root")}


@step(Path="/", MaxSessionDuration=3600)
def iam_makes_a_role(aws, kept):
    role = aws.iam.create_role(RoleName="backup", AssumeRolePolicyDocument=trust(kept))["Role"]
    kept["role"] = role["Arn"]
    role = aws.iam.get_role(RoleName="backup")["Role"]
    return {name: role[name] for name in ("Path", "MaxSessionDuration")}


@step("EntityAlreadyExists")
def iam_refuses_a_second_role_of_the_name(aws, kept):
    aws.iam.create_role(RoleName="backup", AssumeRolePolicyDocument=trust(kept))


@step("MalformedPolicyDocument")
def iam_refuses_a_policy_that_is_not_json(aws, kept):
    aws.iam.put_role_policy(RoleName="backup", PolicyName="bad", PolicyDocument="Allow all")


@step(document=True, names=["p"])
def iam_keeps_a_policy(aws, kept):
    document = policy({"Effect": "Allow", "Action": "ec2:DescribeVolumes", "Resource": "*"})
    aws.iam.put_role_policy(RoleName="backup", PolicyName="p", PolicyDocument=document)
    back = aws.iam.get_role_policy(RoleName="backup", PolicyName="p")["PolicyDocument"]
    names = aws.iam.list_role_policies(RoleName="backup")["PolicyNames"]
    return {"document": back == json.loads(document), "names": names}


@step()
def iam_makes_a_user_with_a_key(aws, kept):
    aws.iam.create_user(UserName="worker")
    document = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"})
    aws.iam.put_user_policy(UserName="worker", PolicyName="p", PolicyDocument=document)
    kept["worker"] = aws.login(aws.iam.create_access_key(UserName="worker")["AccessKey"])


@step(user=True)
def sts_tells_the_user_who_it_is(aws, kept):
    return {"user": kept["worker"].sts.get_caller_identity()["Arn"].endswith(":user/worker")}


@step("AccessDenied")
def sts_refuses_the_root_as_a_caller(aws, kept):
    aws.sts.assume_role(RoleArn=kept["role"], RoleSessionName="job", ExternalId="the-right-one")


@step("AccessDenied")
def sts_refuses_no_external_id(aws, kept):
    assume(aws, kept)


@step("AccessDenied")
def sts_refuses_a_wrong_external_id(aws, kept):
    assume(aws, kept, ExternalId="the-wrong-one")


@step("ValidationError")
def sts_refuses_more_time_than_the_role_gives(aws, kept):
    assume(aws, kept, ExternalId="the-right-one", DurationSeconds=7200)


@step(arn=True, expires=True)
def sts_gives_a_session_for_the_right_one(aws, kept):
    answer = assume(aws, kept, ExternalId="the-right-one")
    kept["job"] = aws.login(answer["Credentials"])
    arn = kept["job"].sts.get_caller_identity()["Arn"]
    return {"arn": arn.endswith(":assumed-role/backup/job"), "expires": "Expiration" in answer["Credentials"]}


@step(volumes=[])
def ec2_lets_the_session_do_what_its_role_may(aws, kept):
    return {"volumes": kept["job"].ec2.describe_volumes()["Volumes"]}


@step("UnauthorizedOperation")
def ec2_refuses_the_session_what_its_role_may_not(aws, kept):
    kept["job"].ec2.describe_snapshots(OwnerIds=["self"])


@step("UnauthorizedOperation")
def ec2_refuses_what_the_session_policy_leaves_out(aws, kept):
    narrow = policy({"Effect": "Allow", "Action": "ec2:DescribeSnapshots", "Resource": "*"})
    answer = assume(aws, kept, ExternalId="the-right-one", Policy=narrow)
    aws.login(answer["Credentials"]).ec2.describe_volumes()


@step("AuthFailure")
def ec2_refuses_a_key_that_nobody_has(aws, kept):
    aws.login({"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "x" * 40}).ec2.describe_volumes()


@step("DeleteConflict")
def iam_keeps_a_role_that_has_policies(aws, kept):
    aws.iam.delete_role(RoleName="backup")


@step("NoSuchEntity")
def iam_knows_no_role_that_was_deleted(aws, kept):
    aws.iam.delete_role_policy(RoleName="backup", PolicyName="p")
    aws.iam.delete_role(RoleName="backup")
    aws.iam.get_role(RoleName="backup")
