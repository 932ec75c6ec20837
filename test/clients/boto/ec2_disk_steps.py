"""EC2: volumes and snapshots. Source: EC2 API reference, the operation's own page and "Error codes"."""

from runner import REGION, ZONE, step, until

NO_SUCH = "00000000000000000"


def available(aws, volume):
    return until("available", lambda: aws.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"])


def new_volume(aws, zone=ZONE, **more):
    volume = aws.ec2.create_volume(**{"AvailabilityZone": zone, "Size": 1, "VolumeType": "gp3", **more})["VolumeId"]
    available(aws, volume)
    return volume


def completed(aws, snapshot):
    return until("completed", lambda: aws.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"])


def new_machine(aws):
    image = aws.ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "architecture", "Values": ["x86_64"]}])
    names = [image["Images"][0]["RootDeviceName"], "/dev/sdf", "/dev/sdg"]
    devices = [{"DeviceName": name, "Ebs": {"VolumeSize": 30}} for name in names]
    made = aws.ec2.run_instances(
        ImageId=image["Images"][0]["ImageId"],
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        Placement={"AvailabilityZone": ZONE},
        BlockDeviceMappings=devices,
    )["Instances"][0]["InstanceId"]

    def read():
        return aws.ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]

    until("running", lambda: read()["State"]["Name"])
    it = read()
    return made, it["RootDeviceName"], {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in it["BlockDeviceMappings"]}


@step(Size=1, VolumeType="gp3", Iops=3000, Throughput=125, Encrypted=False)
def ec2_makes_a_volume(aws, kept):
    kept["volume"] = new_volume(aws)
    volume = aws.ec2.describe_volumes(VolumeIds=[kept["volume"]])["Volumes"][0]
    return {name: volume.get(name) for name in ("Size", "VolumeType", "Iops", "Throughput", "Encrypted")}


@step("InvalidZone.NotFound")
def ec2_makes_no_volume_where_no_zone_is(aws, kept):
    new_volume(aws, REGION + "z")


@step("InvalidParameterDependency")
def ec2_takes_no_key_without_encryption(aws, kept):
    new_volume(aws, KmsKeyId=kept["key"])


@step("InvalidParameterValue")
def ec2_makes_no_gp3_of_100000_iops(aws, kept):
    new_volume(aws, Size=1000, Iops=100_000)


@step(encrypted=True, key=True)
def ec2_encrypts_a_volume_under_a_key(aws, kept):
    kept["encrypted"] = new_volume(aws, Encrypted=True, KmsKeyId=kept["key"])
    volume = aws.ec2.describe_volumes(VolumeIds=[kept["encrypted"]])["Volumes"][0]
    return {"encrypted": volume["Encrypted"], "key": volume["KmsKeyId"] == kept["key"]}


@step(same=True)
def ec2_makes_one_volume_under_one_client_token(aws, kept):
    one, two = (new_volume(aws, ClientToken="once") for _ in range(2))
    return {"same": one == two}


@step("InvalidVolume.NotFound")
def ec2_knows_no_volume_that_is_not_there(aws, kept):
    aws.ec2.describe_volumes(VolumeIds=["vol-" + NO_SUCH])


@step("DryRunOperation")
def ec2_answers_a_dry_run_of_a_volume_with_an_error(aws, kept):
    aws.ec2.create_volume(AvailabilityZone=ZONE, Size=1, DryRun=True)


@step(state="completed", size=1, encrypted=False, volume=True, tag="1")
def ec2_takes_a_snapshot(aws, kept):
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "job", "Value": "1"}]}]
    kept["snapshot"] = aws.ec2.create_snapshot(VolumeId=kept["volume"], TagSpecifications=tags)["SnapshotId"]
    state = completed(aws, kept["snapshot"])
    snapshot = aws.ec2.describe_snapshots(SnapshotIds=[kept["snapshot"]])["Snapshots"][0]
    return {
        "state": state,
        "size": snapshot["VolumeSize"],
        "encrypted": snapshot["Encrypted"],
        "volume": snapshot["VolumeId"] == kept["volume"],
        "tag": snapshot["Tags"][0]["Value"],
    }


@step("InvalidVolume.NotFound")
def ec2_takes_no_snapshot_of_no_volume(aws, kept):
    aws.ec2.create_snapshot(VolumeId="vol-" + NO_SUCH)


@step(found=True)
def ec2_finds_snapshots_by_tag(aws, kept):
    found = aws.ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "tag:job", "Values": ["1"]}])["Snapshots"]
    return {"found": [it["SnapshotId"] for it in found] == [kept["snapshot"]]}


@step("InvalidParameterCombination")
def ec2_pages_no_snapshots_that_are_named(aws, kept):
    aws.ec2.describe_snapshots(SnapshotIds=[kept["snapshot"]], MaxResults=5)


@step(size=2, encrypted=True, snapshot=True)
def ec2_makes_a_larger_encrypted_volume_from_a_snapshot(aws, kept):
    made = new_volume(aws, SnapshotId=kept["snapshot"], Size=2, Encrypted=True)
    volume = aws.ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]
    same = volume["SnapshotId"] == kept["snapshot"]
    return {"size": volume["Size"], "encrypted": volume["Encrypted"], "snapshot": same}


@step("InvalidParameterValue")
def ec2_makes_no_volume_smaller_than_its_snapshot(aws, kept):
    large = new_volume(aws, Size=3)
    snapshot = aws.ec2.create_snapshot(VolumeId=large)["SnapshotId"]
    completed(aws, snapshot)
    new_volume(aws, SnapshotId=snapshot, Size=1)


@step(encrypted=True, key=True)
def ec2_keeps_a_snapshot_of_an_encrypted_volume_encrypted(aws, kept):
    snapshot = aws.ec2.create_snapshot(VolumeId=kept["encrypted"])["SnapshotId"]
    completed(aws, snapshot)
    it = aws.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    return {"encrypted": it["Encrypted"], "key": it.get("KmsKeyId") == kept["key"]}


@step(encrypted=True, state="completed")
def ec2_copies_a_snapshot_and_encrypts_it(aws, kept):
    copy = aws.ec2.copy_snapshot(SourceRegion=REGION, SourceSnapshotId=kept["snapshot"], Encrypted=True)["SnapshotId"]
    state = completed(aws, copy)
    it = aws.ec2.describe_snapshots(SnapshotIds=[copy])["Snapshots"][0]
    return {"encrypted": it["Encrypted"], "state": state}


@step(tagged=True, untagged=True)
def ec2_tags_and_untags(aws, kept):
    def has():
        tags = aws.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [kept["volume"]]}])["Tags"]
        return [it["Key"] for it in tags] == ["kept"]

    aws.ec2.create_tags(Resources=[kept["volume"]], Tags=[{"Key": "kept", "Value": "long"}])
    tagged = has()
    aws.ec2.delete_tags(Resources=[kept["volume"]], Tags=[{"Key": "kept"}])
    return {"tagged": tagged, "untagged": not has()}


@step(snapshots=3, one_time=True)
def ec2_takes_snapshots_of_all_disks_at_once(aws, kept):
    kept["machine"], kept["machine root"], kept["disks"] = new_machine(aws)
    made = aws.ec2.create_snapshots(InstanceSpecification={"InstanceId": kept["machine"]})["Snapshots"]
    return {"snapshots": len(made), "one_time": len({it["StartTime"] for it in made}) == 1}


@step(snapshots=1)
def ec2_leaves_out_what_it_is_told_to(aws, kept):
    spec = {
        "InstanceId": kept["machine"],
        "ExcludeBootVolume": True,
        "ExcludeDataVolumeIds": [kept["disks"]["/dev/sdg"]],
    }
    return {"snapshots": len(aws.ec2.create_snapshots(InstanceSpecification=spec)["Snapshots"])}


@step("InvalidParameterValue")
def ec2_leaves_out_no_root_volume_as_a_data_volume(aws, kept):
    root = kept["disks"][kept["machine root"]]
    spec = {"InstanceId": kept["machine"], "ExcludeDataVolumeIds": [root]}
    aws.ec2.create_snapshots(InstanceSpecification=spec)


@step(state="attached", device="/dev/sdh")
def ec2_attaches_a_volume(aws, kept):
    aws.ec2.attach_volume(VolumeId=kept["volume"], InstanceId=kept["machine"], Device="/dev/sdh")
    read = lambda: aws.ec2.describe_volumes(VolumeIds=[kept["volume"]])["Volumes"][0]["Attachments"][0]  # noqa: E731
    return {"state": until("attached", lambda: read()["State"]), "device": read()["Device"]}


@step("VolumeInUse")
def ec2_attaches_no_volume_twice(aws, kept):
    volume = new_volume(aws)
    for device in ("/dev/sdj", "/dev/sdk"):
        aws.ec2.attach_volume(VolumeId=volume, InstanceId=kept["machine"], Device=device)


@step("InvalidParameterValue")
def ec2_attaches_nothing_at_a_device_in_use(aws, kept):
    aws.ec2.attach_volume(VolumeId=new_volume(aws), InstanceId=kept["machine"], Device="/dev/sdf")


@step("InvalidVolume.ZoneMismatch")
def ec2_attaches_nothing_of_another_zone(aws, kept):
    aws.ec2.attach_volume(VolumeId=new_volume(aws, REGION + "b"), InstanceId=kept["machine"], Device="/dev/sdi")


@step("InvalidAttachment.NotFound")
def ec2_detaches_nothing_from_another_instance(aws, kept):
    other, _, _ = new_machine(aws)
    aws.ec2.detach_volume(VolumeId=kept["volume"], InstanceId=other)


@step("VolumeInUse")
def ec2_deletes_no_volume_in_use(aws, kept):
    aws.ec2.delete_volume(VolumeId=kept["volume"])


@step(state="available")
def ec2_detaches_a_volume(aws, kept):
    aws.ec2.detach_volume(VolumeId=kept["volume"], InstanceId=kept["machine"], Device="/dev/sdh")
    return {"state": available(aws, kept["volume"])}


@step("IncorrectState")
def ec2_detaches_nothing_that_is_free(aws, kept):
    aws.ec2.detach_volume(VolumeId=kept["volume"], InstanceId=kept["machine"], Device="/dev/sdh")


@step("OperationNotPermitted")
def ec2_detaches_no_root_volume_of_a_running_instance(aws, kept):
    root = kept["disks"][kept["machine root"]]
    aws.ec2.detach_volume(VolumeId=root, InstanceId=kept["machine"], Device=kept["machine root"])


@step("InvalidVolume.NotFound")
def ec2_knows_no_volume_that_was_deleted(aws, kept):
    aws.ec2.delete_volume(VolumeId=kept["volume"])
    aws.ec2.describe_volumes(VolumeIds=[kept["volume"]])


@step(needs=("ec2", "LockSnapshot", "SnapshotId"), state="governance")
def ec2_locks_a_snapshot(aws, kept):
    answer = aws.ec2.lock_snapshot(SnapshotId=kept["snapshot"], LockMode="governance", LockDuration=1)
    return {"state": answer["LockState"]}


@step("SnapshotLocked", needs=("ec2", "LockSnapshot", "SnapshotId"))
def ec2_deletes_no_locked_snapshot(aws, kept):
    aws.ec2.delete_snapshot(SnapshotId=kept["snapshot"])


@step("InvalidSnapshot.NotFound")
def ec2_knows_no_snapshot_that_was_deleted(aws, kept):
    snapshot = aws.ec2.create_snapshot(VolumeId=kept["encrypted"])["SnapshotId"]
    completed(aws, snapshot)
    aws.ec2.delete_snapshot(SnapshotId=snapshot)
    aws.ec2.describe_snapshots(SnapshotIds=[snapshot])
