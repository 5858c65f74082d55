with
transfers as (select * from {{ ref('stg_operational__coupon_transfers') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    transfers.transfer_id,
    givers.customer_key,
    receivers.customer_key as to_customer_key,
    transfers.coupon_id,
    transfers.from_patient_id,
    transfers.to_patient_id,
    transfers.transfer_kind,
    transfers.state,
    transfers.operator_staff_id,
    transfers.claimed_at,
    transfers.created_at,
    {{ local_date('transfers.created_at') }} as created_on
from transfers
inner join customers as givers on transfers.from_patient_id = givers.patient_id
left join customers as receivers on transfers.to_patient_id = receivers.patient_id
