-- Sources and ids are composed (Unicode's NFC) from now on: a posting that was loaded from `공고.jsonl` as macOS
-- writes it, in pieces, is found again under its name. Where two would become one, only the first does.
-- Only UTF-8 knows the form; in another encoding there is nothing in pieces.
do $$
begin
    if getdatabaseencoding() <> 'UTF8' then
        return;
    end if;

    with named as (
        select id, normalize(source, nfc) as source, normalize(source_id, nfc) as source_id,
               row_number() over (partition by normalize(source, nfc), normalize(source_id, nfc), position order by id) as place
        from postings
    )
    update postings set source = named.source, source_id = named.source_id
    from named
    where postings.id = named.id and named.place = 1
      and (postings.source, postings.source_id) <> (named.source, named.source_id)
      and not exists (
          select from postings as other
          where other.source = named.source and other.source_id = named.source_id and other.position = postings.position
      );

    with named as (
        select id, normalize(source, nfc) as source, normalize(source_id, nfc) as source_id,
               row_number() over (partition by normalize(source, nfc), normalize(source_id, nfc) order by id) as place
        from documents
    )
    update documents set source = named.source, source_id = named.source_id
    from named
    where documents.id = named.id and named.place = 1
      and (documents.source, documents.source_id) <> (named.source, named.source_id)
      and not exists (
          select from documents as other where other.source = named.source and other.source_id = named.source_id
      );
end
$$;
