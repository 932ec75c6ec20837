ALTER TABLE "connections" ADD COLUMN "storage" text DEFAULT 'vault' NOT NULL;--> statement-breakpoint
ALTER TABLE "connections" ADD COLUMN "restore_in_place" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "connections" ADD COLUMN "clean_up" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "restore_jobs" ADD COLUMN "mode" text DEFAULT 'new' NOT NULL;--> statement-breakpoint
ALTER TABLE "restore_jobs" ADD COLUMN "volume_options" jsonb DEFAULT '[]' NOT NULL;--> statement-breakpoint
ALTER TABLE "restore_jobs" ADD COLUMN "instance_options" jsonb DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "restore_jobs" ADD COLUMN "made" jsonb DEFAULT '[]' NOT NULL;--> statement-breakpoint
ALTER TABLE "restore_jobs" ADD COLUMN "instance" jsonb;--> statement-breakpoint
ALTER TABLE "restore_jobs" ADD COLUMN "cost" jsonb;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "storage" text DEFAULT 'vault' NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "locked_until" timestamp(3) with time zone;