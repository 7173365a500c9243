# Stand-in for SlicerExtensionCPack: refuses missing metadata, as the real one does, and writes
# the description file of the package.

foreach(name HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if("${EXTENSION_${name}}" STREQUAL "")
    message(FATAL_ERROR "EXTENSION_${name} is not set")
  endif()
endforeach()
foreach(name LICENSE README)
  if(NOT EXISTS "${EXTENSION_${name}_FILE}")
    message(FATAL_ERROR "EXTENSION_${name}_FILE does not exist: ${EXTENSION_${name}_FILE}")
  endif()
endforeach()

set(description "${CMAKE_BINARY_DIR}/${PROJECT_NAME}.s4ext")
file(WRITE ${description} "depends ${EXTENSION_DEPENDS}\niconurl ${EXTENSION_ICONURL}\n")
install(FILES ${description} DESTINATION share/Slicer-5.10 COMPONENT RuntimeLibraries)
