{{ masked_view(
    'dim_customer',
    leave_out=['avatar_url', 'patient_remark'],
    masks={
        'nickname': mask_name('nickname'), 'name': mask_name('name'), 'phone': mask_phone('phone'),
        'online_consultant_name': none,
    },
) }}
