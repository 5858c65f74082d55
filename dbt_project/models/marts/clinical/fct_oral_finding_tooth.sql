with
findings as (select finding_id, customer_key, tooth_positions from {{ ref('fct_oral_finding') }})
-- A value named twice in one row is one value: the filters mean sets.
select finding_id, customer_key, unnest(list_distinct(tooth_positions)) as tooth_position from findings
