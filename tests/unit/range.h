/* cmocka 2 wants the kind of number in the name, and warns about the name that
 * cmocka 1 has alone. For the unit tests; after cmocka.h. */
#ifndef SGB_TESTS_RANGE_H
#define SGB_TESTS_RANGE_H

#ifdef assert_int_in_range
#define assert_number_in_range assert_int_in_range
#else
#define assert_number_in_range assert_in_range
#endif

#endif
