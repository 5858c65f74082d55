with
executions as (select execution_id, customer_key, item_names from {{ ref('fct_execution') }})
-- A value named twice in one row is one value: the filters mean sets.
select execution_id, customer_key, unnest(list_distinct(item_names)) as item_name from executions
