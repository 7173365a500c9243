# Stand-ins for the two macros of Slicer that our CMake files call.

# Installs scripts and resources where slicerMacroBuildScriptedModule installs them, without the
# copy in the build tree; a listed file that does not exist is an error there and here.
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(STAND_IN "WITH_GENERIC_TESTS;WITH_SUBDIR" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(STAND_IN_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords: ${STAND_IN_UNPARSED_ARGUMENTS}")
  endif()
  set(_subdir "")
  if(STAND_IN_WITH_SUBDIR)
    get_filename_component(_subdir ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  endif()
  foreach(_file ${STAND_IN_SCRIPTS} ${STAND_IN_RESOURCES})
    set(_source "${CMAKE_CURRENT_SOURCE_DIR}/${_file}")
    if(NOT EXISTS "${_source}")
      message(FATAL_ERROR "${STAND_IN_NAME}: nonexistent file '${_file}'")
    endif()
    get_filename_component(_folder "${_subdir}/${_file}" DIRECTORY)
    install(FILES ${_source} DESTINATION "${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/${_folder}")
  endforeach()
endmacro()

# Registers a test under the name that Slicer's macro gives it; it cannot run here.
macro(slicer_add_python_unittest)
  cmake_parse_arguments(STAND_IN "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  get_filename_component(_script ${STAND_IN_SCRIPT} ABSOLUTE)
  if(NOT EXISTS "${_script}")
    message(FATAL_ERROR "nonexistent test '${STAND_IN_SCRIPT}'")
  endif()
  get_filename_component(_name ${STAND_IN_SCRIPT} NAME_WE)
  add_test(NAME py_${STAND_IN_TESTNAME_PREFIX}${_name} COMMAND ${CMAKE_COMMAND} -E false)
endmacro()

# The same for a test that is a script.
macro(slicer_add_python_test)
  slicer_add_python_unittest(${ARGN})
endmacro()
