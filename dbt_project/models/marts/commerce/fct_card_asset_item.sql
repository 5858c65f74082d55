with
card_assets as (select card_asset_id, customer_key, deductible_items from {{ ref('fct_card_asset') }})
-- A value named twice in one row is one value: the filters mean sets.
select card_asset_id, customer_key, unnest(list_distinct(deductible_items)) as item_name from card_assets
