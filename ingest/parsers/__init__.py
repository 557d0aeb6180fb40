"""From a file to blocks. The walk begins in `document_parser`:

file_types ─┬─► html (html_tokens, html_visibility, html_embedded) ─┐
            ├─► markdown (plain text, too) ─────────────────────────┼─► lines ─► blocks
            ├─► pdf (pdf_worker, a process): its text ──────────────┘
            └─► images and scanned PDFs: upstage, local/ (worker, a process), vision ─► blocks
"""
