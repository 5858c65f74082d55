with
accounts as (select * from {{ ref('stg_saas__stored_value_accounts') }}),
customers as (select patient_id, customer_key from {{ ref('int_patient_customer') }})
select
    accounts.account_id,
    customers.customer_key,
    accounts.patient_id,
    accounts.card_name,
    accounts.principal_amount as principal_fen,
    accounts.bonus_amount as bonus_fen,
    accounts.principal_amount + accounts.bonus_amount as total_fen,
    accounts.status,
    accounts.opened_at,
    {{ local_date('accounts.opened_at') }} as opened_on
from accounts
inner join customers on accounts.patient_id = customers.patient_id
