-- A file has at most one primary own number; when the source holds several, the newest counts.
with
phones as (select * from {{ ref('stg_saas__patient_phones') }} where relation = '本人' and is_primary),
newest_phones as (
    select patient_id, max_by(phone, {{ recency('updated_at', 'patient_phone_id') }}) as phone
    from phones
    group by patient_id
)
select patient_id, phone, {{ phone_e164('phone') }} as phone_e164
from newest_phones
