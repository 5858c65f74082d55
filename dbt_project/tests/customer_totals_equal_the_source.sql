-- No fen is lost or doubled between the source and the customers' totals.
with
patients as (select patient_id from {{ ref('int_patient_customer') }}),
source_totals as (
    select
        (select coalesce(sum(amount), 0) from {{ ref('stg_saas__payments') }} semi join patients using (patient_id))
        - (select coalesce(sum(amount), 0) from {{ ref('stg_saas__refunds') }} semi join patients using (patient_id))
            as paid_fen,
        (
            select coalesce(sum(principal_amount + bonus_amount), 0)
            from {{ ref('stg_saas__stored_value_accounts') }}
            semi join patients using (patient_id)
            where status <> '已注销'
        ) as stored_value_fen
),
customer_totals as (
    select
        coalesce(sum(paid_fen), 0) as paid_fen,
        coalesce(sum(stored_value_total_fen), 0) as stored_value_fen
    from {{ ref('dim_customer') }}
)
select *
from source_totals
cross join customer_totals
where
    source_totals.paid_fen <> customer_totals.paid_fen
    or source_totals.stored_value_fen <> customer_totals.stored_value_fen
