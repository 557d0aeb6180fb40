"""What nodes, ingest and routes call. Each folder imports only those above it:

core: settings, errors, stores, logs, traces, texts
lexicon: skills and their aliases
postings: contracts, deadlines, near-duplicates, and the postings in PostgreSQL
prompts: prompt files, LangSmith's hub, the active set and its changes
llm: the model's API: chat, embeddings, structured output, response journal, usage
"""
