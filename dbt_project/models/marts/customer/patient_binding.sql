-- Official-account bindings stay out: their openid is of another app, and a unionid that two users share would hand one
-- family's patients to another.
-- Whoever bound, undid it and bound again has several rows: the last one holds.
select
    app_id,
    openid,
    patient_id,
    relation,
    bound_at,
    unbound_at
from {{ ref('stg_mini_program__bindings') }}
qualify row_number() over (
    partition by app_id, openid, patient_id
    order by bound_at desc, updated_at desc, binding_id desc
) = 1
