CREATE TABLE "vault_verifications" (
	"tenant_id" text,
	"volume_id" text,
	"fence" integer DEFAULT 0 NOT NULL,
	"claimed_until" timestamp(3) with time zone,
	"existence_at" timestamp(3) with time zone,
	"read_at" timestamp(3) with time zone,
	"cursor" jsonb,
	"existence_damage" jsonb DEFAULT '[]' NOT NULL,
	"read_damage" jsonb DEFAULT '[]' NOT NULL,
	CONSTRAINT "vault_verifications_pkey" PRIMARY KEY("tenant_id","volume_id")
);
--> statement-breakpoint
ALTER TABLE "vault_verifications" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY "vault_verifications_tenant" ON "vault_verifications" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));