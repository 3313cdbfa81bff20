"""The streams of chat front ends: AG-UI, and the UI messages of the Vercel AI SDK."""
