CREATE TABLE "connections" (
	"tenant_id" text,
	"id" text,
	"aws_account_id" text NOT NULL,
	"aws_regions" jsonb NOT NULL,
	"tag" jsonb NOT NULL,
	"vpc_ids" jsonb NOT NULL,
	"kms_key_arns" jsonb NOT NULL,
	"restore" boolean NOT NULL,
	"external_id" text NOT NULL UNIQUE,
	"role_name" text NOT NULL,
	"state" text NOT NULL,
	"state_detail" text,
	"missing" jsonb NOT NULL,
	"last_verified_at" timestamp(3) with time zone,
	"discovered_at" timestamp(3) with time zone,
	"created_at" timestamp(3) with time zone NOT NULL,
	"deleted_at" timestamp(3) with time zone,
	CONSTRAINT "connections_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "connections" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "instances" (
	"tenant_id" text,
	"id" text,
	"connection_id" text NOT NULL,
	"instance_id" text NOT NULL,
	"aws_region" text NOT NULL,
	"availability_zone" text NOT NULL,
	"vpc_id" text,
	"name" text,
	"state" text NOT NULL,
	"instance_type" text NOT NULL,
	"tags" jsonb NOT NULL,
	"volumes" jsonb NOT NULL,
	"configuration" jsonb NOT NULL,
	"discovered_at" timestamp(3) with time zone NOT NULL,
	CONSTRAINT "instances_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "instances" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "backup_jobs" (
	"tenant_id" text,
	"id" text,
	"connection_id" text NOT NULL,
	"aws_region" text NOT NULL,
	"state" text NOT NULL,
	"fence" integer DEFAULT 0 NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"progress" jsonb NOT NULL,
	"blocked" jsonb,
	"problem" jsonb,
	"created_at" timestamp(3) with time zone NOT NULL,
	"started_at" timestamp(3) with time zone,
	"completed_at" timestamp(3) with time zone,
	"instance_id" text NOT NULL,
	"plan_id" text,
	"rule_id" text,
	"scheduled_for" timestamp(3) with time zone,
	"start_before" timestamp(3) with time zone,
	"retention" jsonb,
	"exclude_volume_ids" jsonb NOT NULL,
	"recovery_point_id" text,
	"volumes" jsonb NOT NULL,
	CONSTRAINT "backup_jobs_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "backup_jobs" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "job_events" (
	"tenant_id" text,
	"seq" bigserial,
	"job_id" text NOT NULL,
	"type" text NOT NULL,
	"data" jsonb NOT NULL,
	"time" timestamp(3) with time zone NOT NULL,
	CONSTRAINT "job_events_pkey" PRIMARY KEY("tenant_id","seq")
);
--> statement-breakpoint
ALTER TABLE "job_events" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "restore_jobs" (
	"tenant_id" text,
	"id" text,
	"connection_id" text NOT NULL,
	"aws_region" text NOT NULL,
	"state" text NOT NULL,
	"fence" integer DEFAULT 0 NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"progress" jsonb NOT NULL,
	"blocked" jsonb,
	"problem" jsonb,
	"created_at" timestamp(3) with time zone NOT NULL,
	"started_at" timestamp(3) with time zone,
	"completed_at" timestamp(3) with time zone,
	"recovery_point_id" text NOT NULL,
	"type" text NOT NULL,
	"volume_ids" jsonb,
	"target" jsonb NOT NULL,
	"dry_run" boolean NOT NULL,
	"volumes" jsonb NOT NULL,
	"checks" jsonb NOT NULL,
	"leftovers" jsonb NOT NULL,
	CONSTRAINT "restore_jobs_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "restore_jobs" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "backup_plans" (
	"tenant_id" text,
	"id" text,
	"name" text NOT NULL,
	"paused" boolean NOT NULL,
	"created_at" timestamp(3) with time zone NOT NULL,
	"updated_at" timestamp(3) with time zone NOT NULL,
	CONSTRAINT "backup_plans_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "backup_plans" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "rules" (
	"tenant_id" text,
	"id" text,
	"plan_id" text NOT NULL,
	"name" text NOT NULL,
	"cron" text NOT NULL,
	"time_zone" text NOT NULL,
	"start_window_minutes" integer NOT NULL,
	"retention" jsonb NOT NULL,
	"position" integer NOT NULL,
	"next_run_at" timestamp(3) with time zone,
	CONSTRAINT "rules_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "rules" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "selections" (
	"tenant_id" text,
	"id" text,
	"plan_id" text NOT NULL,
	"connection_id" text NOT NULL,
	"tags" jsonb NOT NULL,
	"instance_ids" jsonb NOT NULL,
	"exclude_instance_ids" jsonb NOT NULL,
	"exclude_volume_ids" jsonb NOT NULL,
	"created_at" timestamp(3) with time zone NOT NULL,
	CONSTRAINT "selections_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "selections" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "deletion_requests" (
	"tenant_id" text,
	"id" text,
	"state" text NOT NULL,
	"recovery_point_id" text NOT NULL,
	"not_before" timestamp(3) with time zone NOT NULL,
	"created_at" timestamp(3) with time zone NOT NULL,
	CONSTRAINT "deletion_requests_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "deletion_requests" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "recovery_points" (
	"tenant_id" text,
	"id" text,
	"state" text NOT NULL,
	"kind" text NOT NULL,
	"connection_id" text NOT NULL,
	"instance_id" text NOT NULL,
	"aws_region" text NOT NULL,
	"plan_id" text,
	"rule_id" text,
	"backup_job_id" text NOT NULL,
	"point_in_time" timestamp(3) with time zone NOT NULL,
	"created_time" timestamp(3) with time zone NOT NULL,
	"expires_at" timestamp(3) with time zone,
	"instance" jsonb NOT NULL,
	"volumes" jsonb NOT NULL,
	CONSTRAINT "recovery_points_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "recovery_points" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "volume_bases" (
	"tenant_id" text,
	"connection_id" text,
	"volume_id" text,
	"aws_region" text NOT NULL,
	"snapshot_id" text NOT NULL,
	"run_id" text NOT NULL,
	"manifest_key" text NOT NULL,
	"recovery_point_id" text NOT NULL,
	"updated_at" timestamp(3) with time zone NOT NULL,
	CONSTRAINT "volume_bases_pkey" PRIMARY KEY("tenant_id","connection_id","volume_id")
);
--> statement-breakpoint
ALTER TABLE "volume_bases" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "api_keys" (
	"tenant_id" text,
	"id" text,
	"key_id" text NOT NULL UNIQUE,
	"secret_hash" bytea NOT NULL,
	"name" text NOT NULL,
	"created_at" timestamp(3) with time zone NOT NULL,
	"last_used_at" timestamp(3) with time zone,
	"revoked_at" timestamp(3) with time zone,
	CONSTRAINT "api_keys_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "api_keys" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "audit_events" (
	"tenant_id" text,
	"id" text,
	"time" timestamp(3) with time zone NOT NULL,
	"actor_type" text NOT NULL,
	"actor_id" text NOT NULL,
	"action" text NOT NULL,
	"resource" text NOT NULL,
	"request_id" text,
	"details" jsonb NOT NULL,
	CONSTRAINT "audit_events_pkey" PRIMARY KEY("tenant_id","id")
);
--> statement-breakpoint
ALTER TABLE "audit_events" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"tenant_id" text,
	"key_hash" text,
	"request_hash" text NOT NULL,
	"status" bigint,
	"sealed_response" bytea,
	"created_at" timestamp(3) with time zone NOT NULL,
	CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY("tenant_id","key_hash")
);
--> statement-breakpoint
ALTER TABLE "idempotency_keys" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE TABLE "operator_keys" (
	"key_id" text PRIMARY KEY,
	"secret_hash" bytea NOT NULL,
	"name" text NOT NULL,
	"created_at" timestamp(3) with time zone NOT NULL,
	"revoked_at" timestamp(3) with time zone
);
--> statement-breakpoint
CREATE TABLE "tenants" (
	"tenant_id" text PRIMARY KEY,
	"name" text NOT NULL,
	"tier" text NOT NULL,
	"created_at" timestamp(3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "tenants" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE INDEX "instances_instance" ON "instances" ("tenant_id","connection_id","instance_id");--> statement-breakpoint
CREATE INDEX "backup_jobs_created" ON "backup_jobs" ("tenant_id","created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "backup_jobs_slot" ON "backup_jobs" ("tenant_id","rule_id","instance_id","scheduled_for") WHERE rule_id is not null;--> statement-breakpoint
CREATE INDEX "job_events_job" ON "job_events" ("tenant_id","job_id","seq");--> statement-breakpoint
CREATE INDEX "restore_jobs_created" ON "restore_jobs" ("tenant_id","created_at");--> statement-breakpoint
CREATE INDEX "rules_plan" ON "rules" ("tenant_id","plan_id");--> statement-breakpoint
CREATE INDEX "selections_plan" ON "selections" ("tenant_id","plan_id");--> statement-breakpoint
CREATE INDEX "recovery_points_instance" ON "recovery_points" ("tenant_id","connection_id","instance_id","point_in_time");--> statement-breakpoint
CREATE INDEX "idempotency_keys_created" ON "idempotency_keys" ("tenant_id","created_at");--> statement-breakpoint
ALTER TABLE "instances" ADD CONSTRAINT "instances_tenant_id_connection_id_connections_tenant_id_id_fkey" FOREIGN KEY ("tenant_id","connection_id") REFERENCES "connections"("tenant_id","id");--> statement-breakpoint
ALTER TABLE "rules" ADD CONSTRAINT "rules_tenant_id_plan_id_backup_plans_tenant_id_id_fkey" FOREIGN KEY ("tenant_id","plan_id") REFERENCES "backup_plans"("tenant_id","id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "selections" ADD CONSTRAINT "selections_tenant_id_plan_id_backup_plans_tenant_id_id_fkey" FOREIGN KEY ("tenant_id","plan_id") REFERENCES "backup_plans"("tenant_id","id") ON DELETE CASCADE;--> statement-breakpoint
ALTER TABLE "selections" ADD CONSTRAINT "selections_DkErFtu64f1U_fkey" FOREIGN KEY ("tenant_id","connection_id") REFERENCES "connections"("tenant_id","id");--> statement-breakpoint
CREATE POLICY "connections_tenant" ON "connections" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "instances_tenant" ON "instances" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "backup_jobs_tenant" ON "backup_jobs" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "job_events_tenant" ON "job_events" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "restore_jobs_tenant" ON "restore_jobs" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "backup_plans_tenant" ON "backup_plans" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "rules_tenant" ON "rules" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "selections_tenant" ON "selections" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "deletion_requests_tenant" ON "deletion_requests" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "recovery_points_tenant" ON "recovery_points" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "volume_bases_tenant" ON "volume_bases" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "api_keys_tenant" ON "api_keys" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "api_keys_lookup" ON "api_keys" AS PERMISSIVE FOR SELECT TO "domicile_api" USING (key_id = nullif(current_setting('app.key_id', true), ''));--> statement-breakpoint
CREATE POLICY "audit_events_tenant" ON "audit_events" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "idempotency_keys_tenant" ON "idempotency_keys" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "tenants_tenant" ON "tenants" AS PERMISSIVE FOR ALL TO "domicile_api", "domicile_worker" USING (tenant_id = nullif(current_setting('app.tenant', true), '')) WITH CHECK (tenant_id = nullif(current_setting('app.tenant', true), ''));--> statement-breakpoint
CREATE POLICY "tenants_operator" ON "tenants" AS PERMISSIVE FOR ALL TO "domicile_api" USING (current_setting('app.operator', true) = 'on') WITH CHECK (current_setting('app.operator', true) = 'on');--> statement-breakpoint
CREATE POLICY "tenants_worker" ON "tenants" AS PERMISSIVE FOR SELECT TO "domicile_worker" USING (true);