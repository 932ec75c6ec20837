"""EC2: images, instances, networks, root volumes. Source: EC2 API reference, the operation's own page and "Error codes"."""

import base64

from runner import ZONE, step, until

NO_SUCH = "00000000000000000"


def instance(aws, kept):
    return aws.ec2.describe_instances(InstanceIds=[kept["instance"]])["Reservations"][0]["Instances"][0]


def state(aws, kept, wanted):
    return until(wanted, lambda: instance(aws, kept)["State"]["Name"])


def launch(aws, kept, **more):
    defaults = {"ImageId": kept["public image"], "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1}
    return aws.ec2.run_instances(**{**defaults, **more})["Instances"][0]


@step(architecture="x86_64", virtualization="hvm", root="ebs")
def ec2_publishes_images_of_its_own(aws, kept):
    filters = [{"Name": "architecture", "Values": ["x86_64"]}, {"Name": "root-device-name", "Values": ["/dev/xvda"]}]
    images = aws.ec2.describe_images(Owners=["amazon"], Filters=filters)["Images"]
    image = next(it for it in images if it.get("Platform") != "windows")
    kept["public image"] = image["ImageId"]
    return {
        "architecture": image["Architecture"],
        "virtualization": image["VirtualizationType"],
        "root": image["RootDeviceType"],
    }


@step(zones=3, subnets=3, default=True, group="default")
def ec2_has_a_default_network(aws, kept):
    subnet = aws.ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": [ZONE]}])["Subnets"][0]
    kept["subnet"] = subnet["SubnetId"]
    group = aws.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])
    kept["group"] = group["SecurityGroups"][0]["GroupId"]
    return {
        "zones": len(aws.ec2.describe_availability_zones()["AvailabilityZones"]),
        "subnets": len(aws.ec2.describe_subnets()["Subnets"]),
        "default": aws.ec2.describe_vpcs()["Vpcs"][0]["IsDefault"],
        "group": group["SecurityGroups"][0]["GroupName"],
    }


@step(pem=True)
def ec2_makes_a_key_pair(aws, kept):
    return {"pem": "PRIVATE KEY" in aws.ec2.create_key_pair(KeyName="deploy")["KeyMaterial"]}


@step("InvalidKeyPair.Duplicate")
def ec2_refuses_a_second_key_pair_of_the_name(aws, kept):
    aws.ec2.create_key_pair(KeyName="deploy")


@step("DryRunOperation")
def ec2_answers_a_dry_run_with_an_error(aws, kept):
    launch(aws, kept, DryRun=True)


@step("InvalidAMIID.NotFound")
def ec2_launches_no_image_that_is_not_there(aws, kept):
    launch(aws, kept, ImageId="ami-" + NO_SUCH)


@step("InvalidAMIID.Malformed")
def ec2_launches_no_image_of_a_malformed_id(aws, kept):
    launch(aws, kept, ImageId="image-1")


@step("InvalidKeyPair.NotFound")
def ec2_launches_with_no_key_pair_that_is_not_there(aws, kept):
    launch(aws, kept, KeyName="nobody")


@step("InvalidSubnetID.NotFound")
def ec2_launches_in_no_subnet_that_is_not_there(aws, kept):
    launch(aws, kept, SubnetId="subnet-" + NO_SUCH)


@step(state="running", devices=["/dev/sdf", "/dev/xvda"], sizes=[2, 9], tokens="required", subnet=True, tag="yes")
def ec2_launches_an_instance(aws, kept):
    made = launch(
        aws,
        kept,
        KeyName="deploy",
        SubnetId=kept["subnet"],
        SecurityGroupIds=[kept["group"]],
        UserData="hello",
        MetadataOptions={"HttpTokens": "required"},
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9, "VolumeType": "gp3"}},
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 2, "VolumeType": "gp3"}},
        ],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "backup", "Value": "yes"}]}],
    )
    kept["instance"] = made["InstanceId"]
    now = state(aws, kept, "running")
    it = instance(aws, kept)
    disks = {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in it["BlockDeviceMappings"]}
    kept["root"], kept["data"] = disks["/dev/xvda"], disks["/dev/sdf"]
    volumes = aws.ec2.describe_volumes(VolumeIds=list(disks.values()))["Volumes"]
    return {
        "state": now,
        "devices": sorted(disks),
        "sizes": sorted(volume["Size"] for volume in volumes),
        "tokens": it["MetadataOptions"]["HttpTokens"],
        "subnet": it["SubnetId"] == kept["subnet"],
        "tag": it["Tags"][0]["Value"],
    }


@step(found=[True, False])
def ec2_finds_instances_by_tag(aws, kept):
    def found(value):
        filters = [{"Name": "tag:backup", "Values": [value]}]
        pages = aws.ec2.describe_instances(Filters=filters)["Reservations"]
        return kept["instance"] in [it["InstanceId"] for page in pages for it in page["Instances"]]

    return {"found": [found("y*s"), found("no")]}


@step("InvalidParameterValue")
def ec2_refuses_a_filter_that_is_none(aws, kept):
    aws.ec2.describe_instances(Filters=[{"Name": "colour", "Values": ["red"]}])


@step("InvalidInstanceID.Malformed")
def ec2_refuses_a_malformed_instance_id(aws, kept):
    aws.ec2.describe_instances(InstanceIds=["machine-1"])


@step("InvalidInstanceID.NotFound")
def ec2_knows_no_instance_that_is_not_there(aws, kept):
    aws.ec2.describe_instances(InstanceIds=["i-" + NO_SUCH])


@step(data="hello")
def ec2_keeps_user_data(aws, kept):
    answer = aws.ec2.describe_instance_attribute(InstanceId=kept["instance"], Attribute="userData")
    return {"data": base64.b64decode(answer["UserData"]["Value"]).decode()}


@step(same=True)
def ec2_launches_once_under_one_client_token(aws, kept):
    one, two = (launch(aws, kept, ClientToken="once")["InstanceId"] for _ in range(2))
    return {"same": one == two}


@step("IdempotentParameterMismatch")
def ec2_refuses_another_launch_under_that_token(aws, kept):
    launch(aws, kept, ClientToken="once", InstanceType="t3.medium")


@step("InvalidSnapshot.NotFound")
def ec2_registers_nothing_without_its_snapshot(aws, kept):
    devices = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-" + NO_SUCH}}]
    aws.ec2.register_image(Name="nothing", RootDeviceName="/dev/xvda", BlockDeviceMappings=devices)


@step(architecture="x86_64", boot="uefi", snapshot=True)
def ec2_registers_an_image(aws, kept):
    snapshot = aws.ec2.create_snapshot(VolumeId=kept["root"])["SnapshotId"]
    kept["root snapshot"] = snapshot
    until("completed", lambda: aws.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"])
    kept["image"] = aws.ec2.register_image(
        Name="restored",
        Architecture="x86_64",
        VirtualizationType="hvm",
        BootMode="uefi",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot, "VolumeType": "gp3"}}],
    )["ImageId"]
    image = aws.ec2.describe_images(ImageIds=[kept["image"]])["Images"][0]
    return {
        "architecture": image["Architecture"],
        "boot": image.get("BootMode"),
        "snapshot": image.get("BlockDeviceMappings", [{}])[0].get("Ebs", {}).get("SnapshotId") == snapshot,
    }


@step("InvalidAMIName.Duplicate")
def ec2_refuses_a_second_image_of_the_name(aws, kept):
    devices = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": kept["root snapshot"]}}]
    aws.ec2.register_image(Name="restored", RootDeviceName="/dev/xvda", BlockDeviceMappings=devices)


@step("InvalidSnapshot.InUse")
def ec2_keeps_the_snapshot_of_an_image(aws, kept):
    aws.ec2.delete_snapshot(SnapshotId=kept["root snapshot"])


@step(images=[])
def ec2_answers_with_nothing_for_a_deregistered_image_in_use(aws, kept):
    kept["from image"] = launch(aws, kept, ImageId=kept["image"])["InstanceId"]
    aws.ec2.deregister_image(ImageId=kept["image"])
    return {"images": aws.ec2.describe_images(ImageIds=[kept["image"]])["Images"]}


@step("InvalidAMIID.Unavailable")
def ec2_deregisters_no_image_twice(aws, kept):
    aws.ec2.deregister_image(ImageId=kept["image"])


@step("InvalidAMIID.Unavailable")
def ec2_launches_no_image_that_was_deregistered(aws, kept):
    launch(aws, kept, ImageId=kept["image"])


@step("InvalidAMIID.NotFound")
def ec2_knows_no_deregistered_image_without_instances(aws, kept):
    aws.ec2.terminate_instances(InstanceIds=[kept["from image"]])

    def read():
        return aws.ec2.describe_instances(InstanceIds=[kept["from image"]])["Reservations"][0]["Instances"][0]

    until("terminated", lambda: read()["State"]["Name"])
    aws.ec2.describe_images(ImageIds=[kept["image"]])


def replaced(aws, task):
    def read():
        return aws.ec2.describe_replace_root_volume_tasks(ReplaceRootVolumeTaskIds=[task])["ReplaceRootVolumeTasks"][0]

    return until("succeeded", lambda: read()["TaskState"])


@step(state="succeeded", new=True)
def ec2_replaces_a_root_volume_from_its_own_snapshot(aws, kept):
    answer = aws.ec2.create_replace_root_volume_task(InstanceId=kept["instance"], SnapshotId=kept["root snapshot"])
    done = replaced(aws, answer["ReplaceRootVolumeTask"]["ReplaceRootVolumeTaskId"])
    disks = {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in instance(aws, kept)["BlockDeviceMappings"]}
    return {"state": done, "new": disks["/dev/xvda"] != kept["root"]}


@step(needs=("ec2", "CreateReplaceRootVolumeTask", "VolumeId"), state="succeeded", same=True)
def ec2_replaces_a_root_volume_by_another(aws, kept):
    volume = aws.ec2.create_volume(AvailabilityZone=ZONE, Size=9, VolumeType="gp3")["VolumeId"]
    until("available", lambda: aws.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"])
    answer = aws.ec2.create_replace_root_volume_task(InstanceId=kept["instance"], VolumeId=volume)
    done = replaced(aws, answer["ReplaceRootVolumeTask"]["ReplaceRootVolumeTaskId"])
    disks = {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in instance(aws, kept)["BlockDeviceMappings"]}
    return {"state": done, "same": disks["/dev/xvda"] == volume}


@step(stopped="stopped", started="running")
def ec2_stops_and_starts(aws, kept):
    aws.ec2.stop_instances(InstanceIds=[kept["instance"]])
    stopped = state(aws, kept, "stopped")
    aws.ec2.start_instances(InstanceIds=[kept["instance"]])
    return {"stopped": stopped, "started": state(aws, kept, "running")}


@step(state="terminated")
def ec2_terminates(aws, kept):
    aws.ec2.terminate_instances(InstanceIds=[kept["instance"]])
    return {"state": state(aws, kept, "terminated")}


@step("IncorrectInstanceState")
def ec2_starts_nothing_that_is_terminated(aws, kept):
    aws.ec2.start_instances(InstanceIds=[kept["instance"]])


@step("InvalidKeyPair.NotFound")
def ec2_knows_no_key_pair_that_was_deleted(aws, kept):
    aws.ec2.delete_key_pair(KeyName="deploy")
    aws.ec2.describe_key_pairs(KeyNames=["deploy"])
