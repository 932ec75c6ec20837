CREATE TABLE "collections" (
	"tenant_id" text,
	"volume_id" text,
	"number" integer NOT NULL,
	"started_at" timestamp(3) with time zone NOT NULL,
	"packs" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "collections_pkey" PRIMARY KEY("tenant_id","volume_id")
);
--> statement-breakpoint
ALTER TABLE "collections" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "condemnations" (
	"tenant_id" text,
	"volume_id" text,
	"collection" integer,
	"fenced_at" timestamp(3) with time zone,
	"open_run_ids" jsonb DEFAULT '[]' NOT NULL,
	CONSTRAINT "condemnations_pkey" PRIMARY KEY("tenant_id","volume_id","collection")
);
--> statement-breakpoint
ALTER TABLE "condemnations" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "condemned_objects" (
	"tenant_id" text,
	"volume_id" text,
	"key" text,
	"size_bytes" bigint NOT NULL,
	"collection" integer NOT NULL,
	"doomed_at" timestamp(3) with time zone,
	"deleted_at" timestamp(3) with time zone,
	CONSTRAINT "condemned_objects_pkey" PRIMARY KEY("tenant_id","volume_id","key")
);
--> statement-breakpoint
ALTER TABLE "condemned_objects" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "vault_runs" (
	"tenant_id" text,
	"volume_id" text,
	"run_id" text,
	"packs_of" jsonb,
	"builds_on" jsonb NOT NULL,
	CONSTRAINT "vault_runs_pkey" PRIMARY KEY("tenant_id","volume_id","run_id")
);
--> statement-breakpoint
ALTER TABLE "vault_runs" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE INDEX "condemned_objects_doomed" ON "condemned_objects" ("tenant_id","doomed_at");--> statement-breakpoint
CREATE POLICY "collections_tenant" ON "collections" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "condemnations_tenant" ON "condemnations" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "condemned_objects_tenant" ON "condemned_objects" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "vault_runs_tenant" ON "vault_runs" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));