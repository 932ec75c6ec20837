ALTER TABLE "tenants" ADD COLUMN "recovery_key" text;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "recovery_key_since" timestamp(3) with time zone;