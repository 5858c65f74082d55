with
coupons as (select * from {{ ref('stg_operational__coupons') }}),
templates as (select * from {{ ref('stg_operational__coupon_templates') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    coupons.coupon_id,
    customers.customer_key,
    coupons.patient_id,
    coupons.coupon_template_id,
    templates.coupon_name,
    templates.coupon_kind,
    templates.face_amount as face_fen,
    templates.min_spend_amount as min_spend_fen,
    templates.is_transferable,
    -- The source's sweeper may be late; a coupon on its way to nobody yet expires with its giver (domain rules C11.12).
    case
        when coupons.state in ('可使用', '转赠中') and coupons.valid_to < {{ as_of() }} then '已过期'
        else coupons.state
    end as state,
    coupons.issued_reason,
    coupons.valid_from,
    coupons.valid_to,
    coupons.used_at,
    coupons.used_clinic_id,
    coupons.issued_at,
    {{ local_date('coupons.issued_at') }} as issued_on
from coupons
inner join customers on coupons.patient_id = customers.patient_id
left join templates on coupons.coupon_template_id = templates.coupon_template_id
