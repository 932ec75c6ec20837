"""KMS. Source: KMS API reference, the operation's own page and its errors."""

from runner import step

CONTEXT = {"tenant": "a"}


@step(KeyState="Enabled", KeySpec="SYMMETRIC_DEFAULT", KeyManager="CUSTOMER", Origin="AWS_KMS")
def kms_makes_a_key(aws, kept):
    key = aws.kms.create_key(Description="disks")["KeyMetadata"]
    kept["key"] = key["Arn"]
    kept["other key"] = aws.kms.create_key()["KeyMetadata"]["Arn"]
    kept["other key id"] = kept["other key"].rsplit("/", 1)[1]
    return {name: key[name] for name in ("KeyState", "KeySpec", "KeyManager", "Origin")}


@step(same=True)
def kms_finds_a_key_by_alias(aws, kept):
    aws.kms.create_alias(AliasName="alias/disks", TargetKeyId=kept["key"])
    return {"same": aws.kms.describe_key(KeyId="alias/disks")["KeyMetadata"]["Arn"] == kept["key"]}


@step("AlreadyExistsException")
def kms_refuses_a_second_alias_of_the_name(aws, kept):
    aws.kms.create_alias(AliasName="alias/disks", TargetKeyId=kept["key"])


@step(length=32, arn=True)
def kms_gives_a_data_key(aws, kept):
    answer = aws.kms.generate_data_key(KeyId="alias/disks", KeySpec="AES_256", EncryptionContext=CONTEXT)
    kept["blob"], kept["plain"] = answer["CiphertextBlob"], answer["Plaintext"]
    return {"length": len(answer["Plaintext"]), "arn": answer["KeyId"] == kept["key"]}


@step(plaintext=False)
def kms_gives_a_data_key_without_its_plaintext(aws, kept):
    answer = aws.kms.generate_data_key_without_plaintext(KeyId=kept["key"], NumberOfBytes=64)
    return {"plaintext": "Plaintext" in answer}


@step("ValidationException")
def kms_refuses_both_a_spec_and_a_number_of_bytes(aws, kept):
    aws.kms.generate_data_key(KeyId=kept["key"], KeySpec="AES_256", NumberOfBytes=32)


@step("ValidationException")
def kms_refuses_neither_a_spec_nor_a_number_of_bytes(aws, kept):
    aws.kms.generate_data_key(KeyId=kept["key"])


@step(same=True, key=True)
def kms_decrypts_under_the_context(aws, kept):
    answer = aws.kms.decrypt(CiphertextBlob=kept["blob"], EncryptionContext=CONTEXT)
    return {"same": answer["Plaintext"] == kept["plain"], "key": answer["KeyId"] == kept["key"]}


@step("InvalidCiphertextException")
def kms_refuses_another_context(aws, kept):
    aws.kms.decrypt(CiphertextBlob=kept["blob"], EncryptionContext={"tenant": "b"})


@step("InvalidCiphertextException")
def kms_refuses_no_context(aws, kept):
    aws.kms.decrypt(CiphertextBlob=kept["blob"])


@step("InvalidCiphertextException")
def kms_refuses_a_ciphertext_with_a_changed_byte(aws, kept):
    blob = bytearray(kept["blob"])
    blob[-1] ^= 1
    aws.kms.decrypt(CiphertextBlob=bytes(blob), EncryptionContext=CONTEXT)


@step("IncorrectKeyException")
def kms_refuses_another_key_than_named(aws, kept):
    aws.kms.decrypt(CiphertextBlob=kept["blob"], EncryptionContext=CONTEXT, KeyId=kept["other key"])


@step(source=True, target=True, same=True)
def kms_moves_a_ciphertext_to_another_key(aws, kept):
    answer = aws.kms.re_encrypt(
        CiphertextBlob=kept["blob"],
        SourceEncryptionContext=CONTEXT,
        DestinationKeyId=kept["other key"],
        DestinationEncryptionContext=CONTEXT,
    )
    back = aws.kms.decrypt(CiphertextBlob=answer["CiphertextBlob"], EncryptionContext=CONTEXT)
    return {
        "source": answer["SourceKeyId"] == kept["key"],
        "target": answer["KeyId"] == kept["other key"],
        "same": back["Plaintext"] == kept["plain"],
    }


@step(back=True)
def kms_encrypts_a_small_secret(aws, kept):
    blob = aws.kms.encrypt(KeyId=kept["key"], Plaintext=b"a small secret")["CiphertextBlob"]
    return {"back": aws.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"a small secret"}


@step("ValidationException")
def kms_refuses_a_secret_over_4096_bytes(aws, kept):
    aws.kms.encrypt(KeyId=kept["key"], Plaintext=b"x" * 4097)


@step(grant=True)
def kms_makes_a_grant(aws, kept):
    principal = f"arn:aws:iam::{kept['account']}:root"
    answer = aws.kms.create_grant(KeyId=kept["key"], GranteePrincipal=principal, Operations=["Decrypt"])
    return {"grant": len(answer["GrantId"]) > 0}


@step(on=True)
def kms_rotates_when_told_to(aws, kept):
    aws.kms.enable_key_rotation(KeyId=kept["key"])
    return {"on": aws.kms.get_key_rotation_status(KeyId=kept["key"])["KeyRotationEnabled"]}


@step("NotFoundException")
def kms_knows_no_key_that_is_not_there(aws, kept):
    aws.kms.describe_key(KeyId="00000000-0000-4000-8000-000000000000")


@step("NotFoundException")
def kms_knows_no_alias_that_is_not_there(aws, kept):
    aws.kms.generate_data_key(KeyId="alias/nobody", KeySpec="AES_256")


@step("DisabledException")
def kms_does_not_encrypt_under_a_disabled_key(aws, kept):
    aws.kms.disable_key(KeyId=kept["other key id"])
    aws.kms.generate_data_key(KeyId=kept["other key id"], KeySpec="AES_256")


@step("KMSInvalidStateException")
def kms_does_not_encrypt_under_a_key_to_be_deleted(aws, kept):
    aws.kms.schedule_key_deletion(KeyId=kept["other key id"], PendingWindowInDays=7)
    aws.kms.generate_data_key(KeyId=kept["other key id"], KeySpec="AES_256")


@step(state="Disabled")
def kms_takes_a_deletion_back(aws, kept):
    aws.kms.cancel_key_deletion(KeyId=kept["other key id"])
    return {"state": aws.kms.describe_key(KeyId=kept["other key id"])["KeyMetadata"]["KeyState"]}
