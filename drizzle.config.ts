import { defineConfig } from 'drizzle-kit';

export default defineConfig({ dialect: 'postgresql', schema: './src/cell/db/schema/*.ts', out: './drizzle' });
